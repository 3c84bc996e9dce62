# syntax=docker/dockerfile:1
# The program alone, on a base without shell or package manager, as a user without rights. libgit2's https needs OpenSSL at run time, which
# distroless/cc brings. The Debian of both stages is the same: the program is linked against its glibc and OpenSSL.
FROM docker.io/library/rust:1.95-trixie AS build
WORKDIR /osier
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/osier/target \
    cargo build --locked --profile dist && cp target/dist/osier /osier/osier-built

FROM gcr.io/distroless/cc-debian13:nonroot
COPY --from=build /osier/osier-built /usr/local/bin/osier
COPY --from=build /osier/LICENSE /osier/NOTICE /usr/share/doc/osier/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/osier"]
