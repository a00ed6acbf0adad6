# `make test` needs a Rust toolchain and installs redis-server when it is missing.

.PHONY: test lint doc bench bench-peers redis-server

test: redis-server
	cargo test --all-features

lint:
	cargo fmt --check
	cargo clippy --no-default-features -- -D warnings
	cargo clippy -- -D warnings
	cargo clippy --all-features --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features

bench: redis-server
	cargo bench --features internals --bench throughput --bench micro --bench links

# Beside the other clients; about half an hour. For the short one, add QUICK=--quick.
bench-peers: redis-server
	cargo run --release --manifest-path benches/peers/Cargo.toml -- $(QUICK)

redis-server:
	@command -v redis-server >/dev/null || { \
	  echo "installing redis-server"; \
	  if command -v apt-get >/dev/null; then \
	    SUDO=; [ "$$(id -u)" = 0 ] || SUDO=sudo; \
	    $$SUDO apt-get update && $$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server; \
	  elif command -v dnf >/dev/null; then sudo dnf install -y redis; \
	  elif command -v brew >/dev/null; then brew install redis; \
	  else echo "please install redis-server, then run this again" >&2; exit 1; fi; }
