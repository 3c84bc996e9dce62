# What a newcomer types. Whatever is missing is named before anything is built, all of it, with the line that installs it.

.PHONY: demo test figures lint fmt
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
	cargo test --locked

# `make figures ONLY=pipeline` prints one section of the table.
figures:
	tests/control-plane/check.sh test
	tests/control-plane/build.sh >/dev/null
	cargo bench --locked --profile dist --bench figures -- $(ONLY)

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

fmt:
	cargo fmt
