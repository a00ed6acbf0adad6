@description('The first part of the host name.')
param cacheName string
param location string = resourceGroup().location

@description('Fixed once the cache is there.')
@allowed(['OSSCluster', 'EnterpriseCluster', 'NoCluster'])
param clusteringPolicy string = 'OSSCluster'
param skuName string = 'Balanced_B1'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${cacheName}-client'
  location: location
}

resource cache 'Microsoft.Cache/redisEnterprise@2025-07-01' = {
  name: cacheName
  location: location
  sku: {
    name: skuName
  }
  properties: {
    minimumTlsVersion: '1.2'
    publicNetworkAccess: 'Enabled'
  }
}

resource database 'Microsoft.Cache/redisEnterprise/databases@2025-07-01' = {
  parent: cache
  name: 'default'
  properties: {
    clientProtocol: 'Encrypted'
    port: 10000
    clusteringPolicy: clusteringPolicy
    evictionPolicy: 'VolatileLRU'
    accessKeysAuthentication: 'Disabled'
  }
}

resource assignment 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2025-07-01' = {
  parent: database
  name: 'myservice' // Letters and digits only.
  properties: {
    accessPolicyName: 'default'
    user: {
      objectId: identity.properties.principalId
    }
  }
}

output host string = cache.properties.hostName
output clientId string = identity.properties.clientId
