# Everything that is done with this checkout; `make help` lists it. Nothing has to be there but Rust, Python 3.11
# and make itself: what else is needed is fetched, into .cache/ or, as root on Debian, with apt.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
# A recipe is one script, so that its functions and variables reach its end.
.ONESHELL:
.DEFAULT_GOAL := help

ARCH := $(shell uname -m)
BINARY := $(CURDIR)/target/ipjob
VENVS := main ipp88 ipp71 nb6 hub hub5 wheel packaging docs
# The tests run the aarch64 binary on other machines, the example for jq, the man page through troff, the completions
# through their shells, a page of Jupyter in a browser, files by rsync, jobs in a home that hangs and with a clock that is set, a modulefile
# in Tcl and a recipe in Ruby.
# `a|b` means either: newer Debians have renamed it.
TEST_PACKAGES = 'qemu-user-static|qemu-user' jq groff-base zsh fish openssl rsync chromium bindfs faketime tcl ruby
# What did not run for want of something, a line each: `WHAT LACKS<tab>TEST`.
SKIPPED = $(CURDIR)/target/skipped
PREFIX = /usr/local
# Empty means: musl where it can be had, else glibc.
TARGET =
# What a release is built for; empty means: all that can be built here.
TARGETS =
# Writes the list of crates into the program, section .dep-v0.
AUDITABLE = cargo-auditable@0.7.7
CARGO_FLAGS =
long := $(filter-out 0,$(LONG))
# The tests that only LONG=1 runs are named. With a filter it would be all others, too.
naming = $(if $(TEST_ARGS),,--status-level skip)

# rustup puts cargo where a root shell without its profile doesn't look.
export PATH := $(PATH):$(HOME)/.cargo/bin:$(CURDIR)/.cache/tools/bin
# Jupyter's kernels and cargo would take the variables of this make for their own.
unexport MAKEFLAGS MAKELEVEL MFLAGS

# Shell functions for the recipes that compile. rust-lld and the C runtime that comes with the Rust target make a
# static binary without a musl-gcc, and for another architecture without a cross compiler.
define toolchain
have_target() {
  compgen -G "$$(rustc --print target-libdir --target $$1 2>/dev/null)/libstd-*.rlib" >/dev/null ||
    rustup -q target add $$1 >/dev/null 2>&1
}
static_build() {
  local flags='-C target-feature=+crt-static'
  if [[ $$1 == *-musl ]]; then
    flags='-C link-self-contained=yes'
    export CARGO_TARGET_$$(tr a-z- A-Z_ <<<$$1)_LINKER=rust-lld
  fi
  compile build $$1 $$flags
}
# `compile SUBCOMMAND TARGET FLAG...`. No path of this machine gets into the program, so that it is the same whoever builds it.
compile() {
  local sources flags=("$${@:3}")
  cargo fetch --quiet $(CARGO_FLAGS) --target $$2
  flags+=("--remap-path-prefix=$(CURDIR)=ipjob" "--remap-path-prefix=$${CARGO_TARGET_DIR:-$(CURDIR)/target}=target")
  for sources in "$${CARGO_HOME:-$$HOME/.cargo}"/registry/src/*/; do flags+=("--remap-path-prefix=$${sources%/}=crates"); done
  RUSTFLAGS="$${RUSTFLAGS-} $${flags[*]}" cargo $${auditable-} $$1 --release $(CARGO_FLAGS) --target $$2
}
# The same for macOS, which has no static programs. zig links it, for the oldest macOS of Apple's own processors; it has an SDK of
# its own, so rustc's warning that there is none means nothing.
release_build() {
  local zig
  # A release has the list of its crates inside.
  command -v cargo-auditable >/dev/null || cargo install --quiet --locked --root .cache/tools $(AUDITABLE)
  local auditable=auditable
  [[ $$1 == *-darwin ]] || { static_build $$1; return; }
  zig=$$(tests/python/venv.sh zig)
  PATH=$$zig/bin:$$PATH MACOSX_DEPLOYMENT_TARGET=11.0 compile zigbuild $$1
}
# Prints the targets of a release that can be built here, and says which can't.
release_targets() {
  local target
  for target in {x86_64,aarch64}-{unknown-linux-musl,apple-darwin}; do
    if ! have_target $$target; then
      echo "none for $$target: the Rust target can't be had" >&2
    elif [[ $$target == *-darwin ]] && ! tests/python/venv.sh zig >/dev/null; then
      echo "none for $$target: zig can't be had" >&2
    else
      echo $$target
    fi
  done
}
# Build scripts run on this machine and are linked by its own compiler.
command -v cc >/dev/null || tests/install-packages gcc libc6-dev
endef

# Shell functions for what did not run: `skips WHAT WHY` tells and notes it, or ends it all where nothing may lack.
define skipping
skips() {
  [[ -z $${IPJOB_TEST_REQUIRE-} ]] || { echo "$$1 does not run, and IPJOB_TEST_REQUIRE is set: $$2" >&2; exit 1; }
  echo "$$1 does not run: $$2" >&2
  printf '%s\t%s\n' "$$2" "$$1" >>$(SKIPPED)
}
list_skipped() {
  [[ -s $(SKIPPED) ]] || return 0
  printf '\n%d checks or tests did not run, in whole or in part, because\n' "$$(cut -f2 $(SKIPPED) | sort -u | wc -l)"
  sort -u $(SKIPPED) | awk -F '\t' '$$1 != why { why = $$1; print "  " why } { print "    " $$2 }'
} >&2
endef

# `slurm_tests VERSION MARKS` runs the tests of tests/slurm-cases that have one of these marks on that version of Slurm, and
# returns what tests/python/venv.sh does where it can't be had here; the last line of target/slurm-VERSION.log then tells why.
define on_slurm
slurm_tests() {
  local lab hub= names
  {
    lab=$$(tests/python/venv.sh main $$1) &&
      # The hub's tests are of the long form.
      { [[ $$2 != *-* ]] || hub=$$(tests/python/venv.sh hub $$1); }
  } 2>target/slurm-$$1.log || { set -- $$? $$1; cat target/slurm-$$2.log >&2; return $$1; }
  mapfile -t names < <(sed -n "s/^[$$2] //p" tests/slurm-cases)
  echo "$${#names[@]} tests on Slurm $$1"
  (
    # Nothing but this version is asked for: what lacks is a failure.
    export IPJOB_TEST_SLURM=$$1 IPJOB_TEST_VENV_LAB=$$lab IPJOB_TEST_VENV_HUB=$$hub IPJOB_TEST_REQUIRE=1
    if cargo nextest --version >/dev/null 2>&1; then
      names=("$${names[@]/#/test(=}")
      IFS='|'
      cargo nextest run $(CARGO_FLAGS) --no-fail-fast --test tests -E "$${names[*]/%/)}" $(TEST_ARGS)
    else
      cargo test $(CARGO_FLAGS) --no-fail-fast --test tests -- --exact "$${names[@]}"
    fi
  )
}
endef

.PHONY: help run build test check quick msrv fuzz chaos soak bench roots slurm lab lab-down dist wheel docs pictures install clean venvs $(VENVS:%=venv-%)

help: ## list what there is
	@awk -F '## ' '/^[a-z]+[^=]*:.*## / { split($$1, target, "[: ]"); printf "make %-8s %s\n", target[1], $$2 }' Makefile

run: ## start a cluster of 4 engines and Jupyter here; ARGS= is appended
	@# One compiles, the other mostly waits for what it fetches.
	$(MAKE) --no-print-directory -j2 build venv-main
	venv=$$(tests/python/venv.sh main)
	# In place of the shell, so that signals meet ipjob and nobody else.
	PATH=$$venv/bin:$$PATH exec $(BINARY) --mode notebook -n 4 $(ARGS)

# The file is only built if it is missing (`sudo make install` after `make build` needs no Rust), the name always.
build $(BINARY): ## build the static binary, target/ipjob; TARGET= names another Rust target
	@$(toolchain)
	target=$(or $(TARGET),$(ARCH)-unknown-linux-musl)
	if ! have_target $$target; then
	  [[ -z '$(TARGET)' ]] || { echo "make build: the Rust target $$target can't be had" >&2; exit 1; }
	  target=$(ARCH)-unknown-linux-gnu
	  echo "make build: no musl target; linking glibc statically, which finds host names by files and DNS only" >&2
	fi
	static_build $$target
	# By rename, so that a test or a cluster that is starting meanwhile never sees half a program.
	mkdir -p target
	cp "$${CARGO_TARGET_DIR:-target}/$$target/release/ipjob" target/ipjob.new
	mv -f target/ipjob.new $(BINARY)
	echo $(BINARY)

test: roots check build ## run all checks and tests; TEST_ARGS= for the runner, LONG=1 for the slow ones too
	@$(toolchain)
	$(skipping)
	$(on_slurm)
	# What can't be had here is told; which tests lack it they say themselves.
	tests/install-packages $(TEST_PACKAGES) || true
	# Once, before many labs start side by side.
	tests/lab/lab install --mpi-packages openmpi || true
	for name in main ipp88 nb6 hub wheel packaging docs $(if $(long),ipp71 hub5); do
	  if venv=$$(tests/python/venv.sh $$name); then
	    export IPJOB_TEST_VENV_$${name^^}="$$venv"
	  else
	    [[ $$? -eq 75 ]] || exit 1
	    unset IPJOB_TEST_VENV_$${name^^}
	  fi
	done
	export IPJOB_TEST_BINARY=$(BINARY) IPJOB_TEST_SKIPPED=$(SKIPPED)
	# What `make dist` builds for the other architecture is started as well, where qemu can.
	aarch64=aarch64-unknown-linux-musl
	if [[ $(ARCH) == x86_64 ]] && (command -v qemu-aarch64-static || command -v qemu-aarch64) >/dev/null && have_target $$aarch64; then
	  (static_build $$aarch64)
	  export IPJOB_TEST_BINARY_AARCH64="$${CARGO_TARGET_DIR:-$$PWD/target}/$$aarch64/release/ipjob"
	fi
	result=0
	# On other versions of Slurm first, so that the last line is that of the whole. They have nothing to do with TEST_ARGS.
	for slurm in $(if $(TEST_ARGS),,$$(tests/lab/lab versions)); do
	  code=0
	  slurm_tests $$slurm '$(if $(long),*-,*)' || code=$$?
	  case $$code in
	    0) ;;
	    75) skips "$$slurm" "$$(tail -n 1 target/slurm-$$slurm.log)" ;;
	    # The archive has moved on, and no checkout passes any more until the list is changed: told, but no failure.
	    69) [[ -n $${IPJOB_TEST_REQUIRE-} ]] || skips "$$slurm" "$$(tail -n 1 target/slurm-$$slurm.log)" ;;
	    *) result=$$code ;;
	  esac
	done
	if cargo nextest --version >/dev/null 2>&1; then
	  cargo nextest run $(CARGO_FLAGS) --no-fail-fast $(if $(long),--run-ignored all) $(naming) $(TEST_ARGS) || result=$$?
	else
	  # The empty line at its end is cut off: the last line is to be the one with the result.
	  cargo test $(CARGO_FLAGS) --no-fail-fast $(TEST_ARGS) $(if $(long),-- --include-ignored) | sed '$${/^$$/d}' || result=$$?
	fi
	# Nothing is listed where whatever lacks is a failure, so that the runner's line stays the last one.
	list_skipped
	exit $$result

# The file systems and environments of the other versions of Slurm, in the background while cargo builds. Who needs one waits
# for it, makes it where it is missing, and tells why it can't be had. Where make ends early this goes on until they are there
# (target/roots.log), and the next `make test` finds them: half of one, cut off with what it had mounted, would be worse.
roots:
	@[[ -z '$(TEST_ARGS)' ]] || exit 0
	mkdir -p target
	{
	  tests/install-packages mmdebstrap || true
	  for slurm in $$(tests/lab/lab versions); do tests/python/venv.sh main $$slurm || true; done
	} >target/roots.log 2>&1 </dev/null &

slurm: build venv-main ## run all tests of Slurm on one version; SLURM=24.11 or another of tests/lab/slurm-versions, SHORT=1 for the short form
	@[[ -n "$(SLURM)" ]] || { echo "make slurm: SLURM= tells the version, one of $$(tests/lab/lab versions | xargs)" >&2; exit 2; }
	$(on_slurm)
	tests/install-packages $(TEST_PACKAGES) mmdebstrap || true
	export IPJOB_TEST_BINARY=$(BINARY)
	IPJOB_TEST_VENV_MAIN=$$(tests/python/venv.sh main)
	export IPJOB_TEST_VENV_MAIN
	slurm_tests $(SLURM) '$(if $(filter-out 0,$(SHORT)),*,*-)'

check: ## look for wrong format, for warnings (for macOS too), and for broken rules of the sources (tests/source_rules.rs)
	@$(skipping)
	# A list of what does not run begins here; `make test` goes on with it.
	mkdir -p target
	: >$(SKIPPED)
	cargo fmt --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	# The laptop's side is for macOS as well. Checking needs no linker and no SDK.
	$(toolchain)
	if have_target aarch64-apple-darwin; then
	  cargo check --quiet $(CARGO_FLAGS) --target aarch64-apple-darwin
	else
	  skips "the check for macOS" "the Rust target aarch64-apple-darwin can't be had"
	fi
	# Licences, crates and sources. Without it, tests/trust.rs looks at the lists of deny.toml.
	if cargo deny --version >/dev/null 2>&1; then
	  cargo deny --locked check bans licenses sources
	fi
	cargo test --quiet $(CARGO_FLAGS) --test tests -- source_rules trust::crates

quick: ## format, lints, unit tests and those of processes with fakes: for the hand, in less than a minute
	@cargo fmt --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	# What needs a virtual environment, or a lab with one, sees here that there is none and is over at once; fewer inputs by chance.
	unset $${!IPJOB_TEST_@}
	export PROPTEST_CASES=16
	if cargo nextest --version >/dev/null 2>&1; then
	  cargo nextest run $(CARGO_FLAGS) --profile quick $(TEST_ARGS)
	else
	  cargo test --quiet $(CARGO_FLAGS) $(TEST_ARGS)
	fi
	echo 'make quick: without real ipyparallel, Jupyter and Slurm; `make test` is the whole'

msrv: ## build with the oldest Rust that Cargo.toml names; rustup fetches it
	@version=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
	rustup -q toolchain install $$version --profile minimal
	CARGO_TARGET_DIR=target/msrv cargo +$$version build --locked
	echo "make msrv: Rust $$version builds ipjob"

CASES = 10000000

fuzz: ## feed the readers with chance, as fast as one CPU can; CASES=10000000 is how many inputs in all
	@$(toolchain)
	# An equal share for each property; all of them are in modules of this name.
	properties=$$(cargo test --quiet --profile fuzz $(CARGO_FLAGS) --lib fuzz:: -- --list | grep -c ': test$$')
	export PROPTEST_CASES=$$(( ($(CASES) + properties - 1) / properties ))
	cargo test --profile fuzz $(CARGO_FLAGS) --lib fuzz:: -- --test-threads=1
	echo "make fuzz: $$properties properties, $$((properties * PROPTEST_CASES)) inputs"

SECONDS = 600
SEED = 1

chaos: build venv-main ## do random harm to a job of 8 engines while a client computes; SECONDS=600 SEED=1 ARGS="--launcher ranks"
	@IPJOB_TEST_VENV_MAIN=$$(tests/python/venv.sh main)
	export IPJOB_TEST_VENV_MAIN IPJOB_TEST_BINARY=$(BINARY)
	exec tests/chaos/run --seconds $(SECONDS) --seed $(SEED) $(ARGS)

CYCLES = 200

soak: build venv-main ## start and stop a cluster again and again, and look for what stays; CYCLES=200
	@IPJOB_TEST_VENV_MAIN=$$(tests/python/venv.sh main)
	export IPJOB_TEST_VENV_MAIN IPJOB_TEST_BINARY=$(BINARY)
	exec tests/chaos/soak --cycles $(CYCLES) $(ARGS)

bench: build venv-main venv-hub ## measure; ARGS= is handed on
	@IPJOB_TEST_VENV_MAIN=$$(tests/python/venv.sh main)
	IPJOB_TEST_VENV_HUB=$$(tests/python/venv.sh hub)
	export IPJOB_TEST_VENV_MAIN IPJOB_TEST_VENV_HUB IPJOB_TEST_BINARY=$(BINARY)
	exec tests/bench/run $(ARGS)

LAB = $(CURDIR)/.cache/lab

lab: build ## start a Slurm cluster with two nodes to play with, as root; SLURM=24.11 for another version, ARGS= for `tests/lab/lab up`
	@$(if $(SLURM),tests/install-packages mmdebstrap || true)
	venv=$$(tests/python/venv.sh main $(SLURM))
	tests/lab/lab --state $(LAB) up $(if $(SLURM),--slurm $(SLURM)) --share $(dir $(BINARY)) --share "$$venv" $(ARGS)
	profile=$(LAB)/home/alice/.profile
	echo "PATH=$$venv/bin:$(dir $(BINARY)):\$$PATH" >$$profile
	chmod 644 $$profile
	printf '%s\n' '' 'Enter it as alice, on the login node; ipjob, Python and Jupyter are on her PATH:' \
	  '  tests/lab/lab --state .cache/lab in -u alice login' \
	  '  sbatch -N2 --ntasks-per-node=2 --wrap "exec ipjob --mode notebook"' \
	  'Other machines: node1, node2, laptop, ctl. The end of it: make lab-down'

lab-down: ## end that cluster, with all that runs in it
	@tests/lab/lab --state $(LAB) down

venvs: $(VENVS:%=venv-%) ## make all virtual environments of the tests (venv-main, venv-ipp88, ... make one)

$(VENVS:%=venv-%): venv-%:
	@tests/python/venv.sh $*

dist: CARGO_FLAGS = --locked
dist: ## build what a release is into dist/: archives, packages, wheels, SBOMs and SHA256SUMS; TARGETS= names Rust targets
	@$(toolchain)
	packer=$$(tests/python/venv.sh packaging)
	# Prints the pages and completions for all.
	own=$(ARCH)-unknown-linux-musl
	release_build $$own
	export IPJOB_RUNS="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/$$own/release/ipjob"
	rm -rf dist
	for target in $(or $(TARGETS),$$(release_targets)); do
	  release_build $$target
	  archive=$$(packaging/archive $$target "$${CARGO_TARGET_DIR:-target}/$$target/release/ipjob" dist)
	  [[ $$target == *-darwin ]] || packaging/packages "$$packer/bin/nfpm" "$$archive" dist
	done
	# This make's own variables do not reach another by themselves here.
	$(MAKE) --no-print-directory wheel TARGETS='$(TARGETS)' CARGO_FLAGS='$(CARGO_FLAGS)'
	cd dist
	sha256sum ipjob* | tee SHA256SUMS

wheel: CARGO_FLAGS = --locked
wheel: venv-wheel ## build the Python package with the program in it, for Linux and macOS, in dist/; `pip install --no-index --find-links dist ipjob`
	@$(toolchain)
	venv=$$(tests/python/venv.sh wheel)
	mkdir -p dist
	rm -f dist/*.whl
	for target in $(or $(TARGETS),$$(release_targets)); do
	  release_build $$target
	  export IPJOB_WHEEL_PROGRAM="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/$$target/release/ipjob" IPJOB_WHEEL_TARGET=$$target
	  (cd python && "$$venv/bin/hatchling" build -t wheel -d $(CURDIR)/dist)
	done
	ls -l dist/*.whl

docs: venv-docs ## build the pages of docs/ as a site, target/site; a link that leads nowhere is an error
	@venv=$$(tests/python/venv.sh docs)
	NO_MKDOCS_2_WARNING=1 "$$venv/bin/mkdocs" build --quiet --strict
	echo $(CURDIR)/target/site/index.html

pictures: build venv-main venv-wheel ## make the pictures of docs/ by the tests that see what they show, as root (a lab, Chromium)
	@IPJOB_TEST_VENV_MAIN=$$(tests/python/venv.sh main)
	IPJOB_TEST_VENV_WHEEL=$$(tests/python/venv.sh wheel)
	export IPJOB_TEST_VENV_MAIN IPJOB_TEST_VENV_WHEEL IPJOB_TEST_BINARY=$(BINARY) IPJOB_TEST_PICTURES=$(CURDIR)/docs IPJOB_TEST_REQUIRE=1
	tests/install-packages chromium
	cargo test --quiet $(CARGO_FLAGS) --test tests -- --exact \
	  connect::browser::a_notebook_in_a_real_browser_runs_on_all_ranks_and_a_local_client_uses_them_meanwhile \
	  package::a_person_uses_and_ends_a_job_by_jupyterlabs_list
	ls -l docs/*.png docs/*.svg

install: $(BINARY) ## install program, man pages, completions, modulefiles and examples below DESTDIR= PREFIX=/usr/local
	@packaging/stage $(BINARY) $(DESTDIR)$(PREFIX)

clean: ## remove all that was made here, the virtual environments too
	@rm -rf target .cache dist
