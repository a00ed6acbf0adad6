# `make test` needs a Rust toolchain and installs redis-server and openssl when they are missing.

.PHONY: test test-bridges test-clients pictures lint msrv features doc package audit bench bench-build bench-peers instructions fuzz fuzz-smoke loom mutants redis-server openssl

# Where fuzz/, loom/, benches/peers, benches/instructions and tests/other_clients, which are workspaces of their own, share
# what is built for the library.
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)

# What `cargo test --all-features` runs one after the other. Tests wait most of the time, so two of their programs run side
# by side: never two of those that judge times the most, because a small machine is late for both then. Everything in
# tests/ comes. A program's output is shown when it has ended.
JUDGE_TIMES = cluster exclusive failures lifecycle pubsub rotation
PROGRAMS = $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs)) $(patsubst tests/%.rs,%,$(wildcard tests/*.rs))

test: redis-server openssl
	cargo test --all-features --no-run
	@printf '%s\n' '3 $(JUDGE_TIMES:%=--test=%)' \
	    '5 $(patsubst %,--test=%,$(filter-out $(JUDGE_TIMES),$(PROGRAMS))) --lib --doc' \
	  | xargs -P 2 -L 1 sh -c 'export RUST_TEST_THREADS=$$0; code=0; for program; do \
	      output=$$(cargo test --all-features $$program 2>&1) || code=1; printf "%s\n" "$$output"; done; exit $$code'

# Other clients and frameworks for Rust, on what this crate has for them: fred, rustis, the `redis` crate's cluster client,
# deadpool-redis, apalis-redis.
test-bridges: redis-server
	cargo clippy --manifest-path tests/other_clients/Cargo.toml --target-dir $(TARGET_DIR) --all-targets -- -D warnings
	cargo test --manifest-path tests/other_clients/Cargo.toml --target-dir $(TARGET_DIR)

# Clients in other languages on the emulator: redis-py with redis-entraid, alone and on a cluster, and Azure's identity
# library, for Python; @redis/entraid and @azure/identity for Node. Needs Python 3 with venv, Node 20 with npm, PyPI and
# npm's registry.
test-clients: redis-server
	python3 -m venv target/clients
	target/clients/bin/pip install --quiet redis-entraid azure-identity
	npm install --prefix target/clients --no-audit --no-fund --no-save --silent @azure/identity @redis/client @redis/entraid
	tests/clients/run.sh

# The guide's pictures, by the test that compares them otherwise.
pictures:
	GUIDE_PICTURES=write cargo test --all-features --test guide pictures

# Workspaces of their own, whose code is held to the same rules. rustfmt cannot follow loom's paths into src/.
WORKSPACES = fuzz benches/peers benches/instructions tests/other_clients

lint:
	cargo fmt --all --check
	for workspace in $(WORKSPACES); do cargo fmt --manifest-path $$workspace/Cargo.toml --check || exit 1; done
	git ls-files 'loom/*.rs' | xargs grep -L '#\[path' | xargs rustfmt --edition 2024 --check
	cargo clippy --no-default-features -- -D warnings
	cargo clippy -- -D warnings
	cargo clippy --all-features --all-targets -- -D warnings
	@echo comments within 120 columns; ! $(wide_comments)

# What rustfmt does not see to. Rows of tables stay as they are, and so does a line that is one word, such as an address.
wide_comments = git ls-files '*.rs' | LC_ALL=C.UTF-8 xargs grep -nE '^ *//.*$$' /dev/null \
	| LC_ALL=C.UTF-8 grep -E '^[^:]+:[0-9]+:.{121,}$$' | grep -vE '^[^:]+:[0-9]+: *//[/!]? *(\||[^ ]+$$)'

# The oldest Rust, as far as one toolchain can tell: no dependency asks for a newer one than `rust-version`, which clippy
# (`incompatible_msrv`, in `make lint`) holds the library's own use of the standard library against.
msrv:
	@cargo metadata --locked --format-version 1 \
	  | grep -o '"name":"[^"]*","version":"[^"]*"\|"rust_version":"[^"]*"' \
	  | sed 's/"//g; s/name:\(.*\),version:/\1 /' \
	  | awk -v ours="$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)" ' \
	      function number(version, part) { split(version, part, "."); return part[1] * 1000 + part[2] } \
	      !sub(/^rust_version:/, "") { package = $$0; next } \
	      { seen++; if (number($$0) > number(ours)) { print package " needs Rust " $$0 ", and we say " ours; newer = 1 } } \
	      END { if (!seen) { print "no rust-version was found"; exit 1 }; exit newer }'

# Each feature without the others: what one of them needs must not come from another one. Then what a build says that
# does not read PKCS#12: `make test` has all features.
FEATURES = $(shell sed -n '/^\[features\]/,/^\[dependencies\]/s/^\([a-z0-9-]*\) = .*/\1/p' Cargo.toml)

features:
	@for feature in $(filter-out default,$(FEATURES)); do \
	  echo "feature $$feature alone"; \
	  cargo clippy --no-default-features --features $$feature -- -D warnings || exit 1; \
	done
	cargo test --lib -- credential::certificate

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features

# What `cargo publish` would upload: that it holds what it should, and builds.
package:
	.ci/package

# Licences, sources and duplicates of everything below the crate, by deny.toml; and what changed for users of the API since
# the last release. Needs cargo-deny and cargo-semver-checks (`cargo install cargo-deny cargo-semver-checks`), whose
# builds take minutes: a step of a release.
audit:
	cargo deny --all-features check bans licenses sources
	@tag=$$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null) || tag=; \
	if [ -n "$$tag" ]; then \
	  echo "cargo semver-checks --baseline-rev $$tag"; cargo semver-checks --baseline-rev "$$tag"; \
	else \
	  echo "cargo semver-checks is skipped: no tag v* names a release to compare with"; \
	fi

# A minute for each of fuzz/'s targets, on a stable toolchain; fuzz/README.md has the engine that coverage guides.
fuzz:
	cargo run --release --manifest-path fuzz/Cargo.toml -- smoke --seconds 60

# Some seconds for each of them.
fuzz-smoke:
	cargo clippy --manifest-path fuzz/Cargo.toml --target-dir $(TARGET_DIR) -- -D warnings
	cargo run --manifest-path fuzz/Cargo.toml --target-dir $(TARGET_DIR) -- smoke --seconds 2

# Models of admission, reply cells and queues in every order of their threads' steps with so many interruptions a run, by
# default two; CONTRIBUTING.md says how to search further. Not captured, because a model that fails may abort.
loom:
	cargo clippy --manifest-path loom/Cargo.toml --target-dir $(TARGET_DIR) --lib --test models -- -D warnings
	cargo test --manifest-path loom/Cargo.toml --target-dir $(TARGET_DIR) --test models -- --nocapture

# What no test notices of a file or a room (FILE='src/token/*.rs'), by those unit tests whose names hold TESTS.
mutants: export CARGO_PROFILE_DEV_DEBUG = false
mutants: export PROPTEST_MAX_SHRINK_ITERS = 0
mutants:
	CARGO_TARGET_DIR='$(CURDIR)/target/mutants' cargo mutants --all-features --file '$(FILE)' -- --lib -- $(TESTS)

bench: redis-server
	cargo build --release --features cli --bin entra-redis
	cargo bench -p entra-redis-benches

# All benches compile. The peers are only checked: to build ten clients takes minutes.
bench-build:
	cargo clippy -p entra-redis-benches --all-targets -- -D warnings
	cargo clippy --manifest-path benches/peers/Cargo.toml --target-dir $(TARGET_DIR) --all-targets -- -D warnings
	cargo clippy --manifest-path benches/instructions/Cargo.toml --target-dir $(TARGET_DIR) -- -D warnings

# Beside the other clients; about half an hour. For the short one, add QUICK=--quick.
bench-peers: redis-server
	cargo run --release --manifest-path benches/peers/Cargo.toml -- $(QUICK)

# Instructions per command, by callgrind; with BASE=<commit>, how many more than there, too. Needs valgrind.
instructions:
	benches/instructions/count $(BASE)

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
