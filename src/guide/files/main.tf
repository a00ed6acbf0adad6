terraform {
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.60"
    }
  }
}

provider "azurerm" {
  features {}
}

variable "cache_name" {
  type = string
}

variable "clustering_policy" {
  description = "Fixed once the cache is there: OSSCluster, EnterpriseCluster or NoCluster."
  type        = string
  default     = "OSSCluster"
}

resource "azurerm_resource_group" "this" {
  name     = "${var.cache_name}-group"
  location = "westeurope"
}

resource "azurerm_user_assigned_identity" "client" {
  name                = "${var.cache_name}-client"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
}

resource "azurerm_managed_redis" "cache" {
  name                = var.cache_name
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  sku_name            = "Balanced_B1"

  default_database {
    access_keys_authentication_enabled = false
    client_protocol                    = "Encrypted"
    clustering_policy                  = var.clustering_policy
    eviction_policy                    = "VolatileLRU"
  }
}

resource "azurerm_managed_redis_access_policy_assignment" "client" {
  managed_redis_id = azurerm_managed_redis.cache.id
  object_id        = azurerm_user_assigned_identity.client.principal_id
}

output "host" {
  value = azurerm_managed_redis.cache.hostname
}

output "client_id" {
  value = azurerm_user_assigned_identity.client.client_id
}
