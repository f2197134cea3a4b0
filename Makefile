# The project's commands. `make` lists them.

.DEFAULT_GOAL := help
# What makes tests long, and how they are run then: optimised, and all of them even if one fails.
LONG := FUSEBOX_PROVE=1 PROPTEST_CASES=20000
# How packages are built: docs/decisions/0034-an-allocator-for-packages.md.
PACKAGED := RUSTFLAGS="$$RUSTFLAGS --cfg fusebox_jemalloc"
PROVE := cargo test --release --locked --no-fail-fast

.PHONY: help build test conformance prove package msrv examples clients bench-breaker bench-fleet bench-proxy bench-protocols bench-flogo compare-border screenshots fmt lint doc

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

build: ## build the program for speed, into target/dist (`cargo build --release` is done sooner)
	$(PACKAGED) cargo build --profile dist --locked

test: ## install what the tests need, then run formatting, lints, all tests, doc tests, conformance
	@scripts/test

conformance: ## run the conformance cases (FUSEBOX_CONFORMANCE=DIR: those in DIR)
	@cargo test --quiet --locked --workspace --all-features --test conformance

prove: ## run the long forms of the tests: orders of threads, ten million events, a thousand kills, gigabytes, ten thousand fleets
	$(LONG) LOOM_MAX_PREEMPTIONS=3 $(PROVE) -p fusebox-breaker --all-features
	$(LONG) $(PROVE) -p fusebox-store --all-features
	$(LONG) $(PROVE) -p fusebox-dataweave -p fusebox-plan -p fusebox-flogo -p fusebox-mule -p fusebox-gateway
	$(LONG) $(PROVE) -p fusebox-cli --test streaming --test innocent --test siege --test pages --test openapi --test sampling \
		--test access_log
	$(LONG) $(PROVE) -p fusebox-sim --features fleet --test fleet -- --nocapture --test-threads 1
	@scripts/package
	@scripts/msrv
	@scripts/examples

package: ## package the published crates; build, test and document them unpacked, away from the workspace
	@scripts/package

msrv: ## check the published crates with the oldest Rust that they promise
	@scripts/msrv

examples: ## build and run the library's example programs (needs a Valkey or Redis server)
	@scripts/examples

clients: ## run the tests of the clients for Python and Node against the program, and check their types (needs mypy and npx)
	cargo build --locked
	cargo test --locked -p fusebox-cli --test operators clients
	python3 -m mypy --config-file clients/python/pyproject.toml clients/python/src
	npx --yes -p typescript tsc --noEmit --strict --lib es2022,dom clients/node/src/index.d.ts

bench-breaker: ## measure the breaker beside other crates (counts instructions where valgrind is)
	@scripts/bench-breaker --keep

bench-proxy: ## measure the gateway beside nginx, HAProxy, Envoy and bare hyper (needs nginx, haproxy, h2load and valgrind)
	@scripts/bench-proxy

bench-protocols: ## the same over TLS and HTTP/2 alone
	@scripts/bench-proxy --only tls,h2,h2c

bench-fleet: ## measure five gateways that share a breaker: a trip's way, commands, outages (needs wrk and a Valkey or Redis server)
	@scripts/bench-fleet

bench-flogo: ## measure a Flogo application: its service healthy, down, flapping (needs nginx and wrk)
	@scripts/bench-flogo

compare-border: ## show what passes nginx, HAProxy and Fusebox (needs nginx and haproxy)
	@scripts/compare-border

screenshots: ## take the dashboard's pictures in docs/ anew (needs node and Chromium, see scripts/test)
	cargo build --locked
	FUSEBOX_PROGRAM=target/debug/fusebox node crates/cli/tests/browser/screenshots.mjs docs
	! command -v pngquant >/dev/null || pngquant --force --ext .png docs/dashboard-*.png

fmt: ## format the code
	cargo fmt --all

lint: ## lint as `make test` does
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --locked --quiet

doc: ## write the API documentation to target/doc
	cargo doc --workspace --no-deps --locked
