# What a newcomer types. Whatever is missing is named before anything is built, all of it, with the line that installs it.

.PHONY: demo test figures image lint fmt
.SILENT: demo test figures

demo:
	tests/control-plane/check.sh demo
	cargo build --locked
	target/debug/osier demo

# The whole suite: nothing is skipped. The first run builds the real programs (ten minutes on two cores, cached outside the tree).
test:
	tests/control-plane/check.sh test
	tests/control-plane/build.sh >/dev/null
	cargo fmt --check
	cargo clippy --locked --all-targets --quiet -- -D warnings
	{ cargo test --locked 2>&1; echo $$? >target/test.status; } | tee target/test.log; exit $$(cat target/test.status)

# One table of all figures; `make figures ONLY=pipeline` prints one section, `SIZE=small` shows in seconds that they can still be computed.
# Built as `cargo bench` builds, without the link-time optimisation of what ships: minutes less to wait, and a few per cent slower.
figures:
	tests/control-plane/check.sh test
	tests/control-plane/build.sh >/dev/null
	cargo bench --locked --bench figures -- $(ONLY) $(SIZE)

# The image that the chart runs; docker or anything that takes its arguments.
DOCKER ?= docker
IMAGE ?= osier:$(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
image:
	$(DOCKER) build --tag $(IMAGE) .

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

fmt:
	cargo fmt
