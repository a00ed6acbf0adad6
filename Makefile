# `make test` needs a Rust toolchain and installs redis-server and openssl when they are missing.

.PHONY: test test-clients lint features doc audit bench bench-peers fuzz mutants redis-server openssl

test: redis-server openssl
	cargo test --all-features

# Clients in other languages on the emulator: redis-py with redis-entraid, and Azure's identity library, for Python;
# @redis/entraid and @azure/identity for Node. Needs Python 3 with venv, Node 20 with npm, PyPI and npm's registry.
test-clients:
	python3 -m venv target/clients
	target/clients/bin/pip install --quiet redis-entraid azure-identity
	npm install --prefix target/clients --no-audit --no-fund --no-save --silent @azure/identity @redis/client @redis/entraid
	tests/clients/run.sh

lint:
	cargo fmt --check
	cargo clippy --no-default-features -- -D warnings
	cargo clippy -- -D warnings
	cargo clippy --all-features --all-targets -- -D warnings

# Each feature without the others: what one of them needs must not come from another one.
features:
	@for feature in emulator metrics azure-core streaming-credentials bench-api; do \
	  echo "feature $$feature alone"; \
	  cargo clippy --no-default-features --features $$feature -- -D warnings || exit 1; \
	done

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features

# Licences, sources and duplicates of everything below the crate, by deny.toml. Needs cargo-deny (`cargo install cargo-deny`),
# whose build takes minutes: a step of a release.
audit:
	cargo deny --all-features check bans licenses sources

# A minute for each of fuzz/'s targets, on a stable toolchain; fuzz/README.md has the engine that coverage guides.
fuzz:
	cargo run --release --manifest-path fuzz/Cargo.toml -- smoke --seconds 60

# What no test notices of a file or a room (FILE='src/token/*.rs'), by those unit tests whose names hold TESTS.
mutants: export CARGO_PROFILE_DEV_DEBUG = false
mutants: export PROPTEST_MAX_SHRINK_ITERS = 0
mutants:
	CARGO_TARGET_DIR=$(CURDIR)/target/mutants cargo mutants --all-features --file '$(FILE)' -- --lib -- $(TESTS)

bench: redis-server
	cargo bench --features bench-api --bench throughput --bench micro --bench links

# Beside the other clients; about half an hour. For the short one, add QUICK=--quick.
bench-peers: redis-server
	cargo run --release --manifest-path benches/peers/Cargo.toml -- $(QUICK)

redis-server:
	$(call install,redis-server,redis-server,redis,redis)

# The tests' second opinion on certificates and signatures; nothing in the crate uses it.
openssl:
	$(call install,openssl,openssl,openssl,openssl)

# $(1): a program; $(2), $(3), $(4): its package for apt-get, dnf and brew.
define install
@command -v $(1) >/dev/null || { \
  echo "installing $(1)"; \
  if command -v apt-get >/dev/null; then \
    SUDO=; [ "$$(id -u)" = 0 ] || SUDO=sudo; \
    $$SUDO apt-get update && $$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(2); \
  elif command -v dnf >/dev/null; then sudo dnf install -y $(3); \
  elif command -v brew >/dev/null; then brew install $(4); \
  else echo "please install $(1), then run this again" >&2; exit 1; fi; }
endef
