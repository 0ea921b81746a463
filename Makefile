# Two commands matter on a new machine: `make demo` and `make test`. Each sets up what it needs first.
.SUFFIXES:

PY = .venv/bin/python
ENGINE = mariadb
DEMO_OUTPUT = build/demo$(patsubst -mariadb,,-$(ENGINE)).json
READY = .venv/.set-up
CODE = src hooks lab tests bench scripts

# uv trusts the machine's certificates, as pip does.
export UV_SYSTEM_CERTS = 1

.PHONY: mysql deb reference report-bench help demo test check mutate bench guardian faults torture restores fleet shards package requirements clean lab-packages

help:
	@echo "make demo          take snapshots of a database under load, restore them, and compare (build/demo.json)"
	@echo "make demo ENGINE=two-disks    ... of mariadb, two-disks, mysql (after make mysql), postgres, redis, sqlite, mixed (build/demo-ENGINE.json)"
	@echo "make test          every test; as root the lab's too"
	@echo "make check         style, types, import rules and the fast tests"
	@echo "make mutate        break the code on purpose, and see that the tests notice (build/mutations.json)"
	@echo "make bench         measure (build/bench.json)"
	@echo "make guardian      kill the daemon 500 times, and measure how soon it lets go (build/guardian.json)"
	@echo "make faults        every fault at every step, about 15 minutes (build/faults.json)"
	@echo "make torture       200 snapshots with random faults, restored and compared (build/torture.json)"
	@echo "make restores      50 snapshots of every engine, restored, compared and checked (build/restores.json)"
	@echo "make mysql         fetch the MySQL of Debian unstable into build/mysql, and hold it for real"
	@echo "make fleet         one run of 10, 100 and 1,000 simulated instances, through workers (build/fleet.json)"
	@echo "make shards        restores of three databases with money moving between them (build/shards.json)"
	@echo "make package       build/quiesce-function.zip for SCF, build/quiesced.pyz for the instances"
	@echo "make deb           build/quiesced_VERSION_all.deb for Debian and Ubuntu"
	@echo "make reference     write docs/reference, docs/schemas, deploy/cls and the catalogs of languages from the code"
	@echo "make report-bench  size and opening time of a year's report (build/report.json)"
	@echo "make requirements  pin requirements/*.txt anew"
	@echo "make clean         remove build/ and caches"
	@echo "PYTHON=/path/to/python chooses the interpreter (3.10 or newer) for .venv"

demo: $(READY) lab-packages
	@mkdir -p build
	@scripts/as-root .venv/bin/quiesce-lab run --engine $(ENGINE) --output $(DEMO_OUTPUT)

test: $(READY) lab-packages
	@scripts/run-tests

check: $(READY)
	@echo "==> ruff"
	@$(PY) -m ruff check $(CODE)
	@$(PY) -m ruff format --check $(CODE)
	@echo "==> mypy"
	@$(PY) -m mypy
	@echo "==> import rules"
	@.venv/bin/lint-imports
	@echo "==> fast tests"
	@$(PY) -m pytest -q -m "not lab"

mutate: $(READY) lab-packages
	@scripts/as-root $(PY) -m tests.mutate

bench: $(READY) lab-packages
	@mkdir -p build
	@scripts/as-root $(PY) -m bench

guardian: $(READY) lab-packages
	@mkdir -p build
	@scripts/as-root $(PY) -m bench.guardian

faults: $(READY) lab-packages
	@mkdir -p build
	@scripts/as-root $(PY) -m tests.faults

mysql: $(READY)
	@scripts/as-root scripts/mysql-server
	@scripts/as-root $(PY) -m pytest -q tests/mysql

restores: $(READY) lab-packages
	@mkdir -p build
	@scripts/as-root $(PY) -m tests.restores

fleet: $(READY)
	@mkdir -p build
	@$(PY) -m bench.fleet

shards: $(READY) lab-packages
	@mkdir -p build
	@scripts/as-root $(PY) -m tests.shards

torture: $(READY) lab-packages
	@mkdir -p build
	@scripts/as-root $(PY) -m tests.torture

package: $(READY)
	@$(PY) -m scripts.package_function
	@$(PY) -m scripts.package_daemon

deb: $(READY)
	@$(PY) -m scripts.package_deb

reference: $(READY)
	@$(PY) -m scripts.reference
	@$(PY) -m scripts.schemas
	@$(PY) -m scripts.cls_definitions
	@$(PY) -m scripts.languages

report-bench: $(READY) lab-packages
	@mkdir -p build
	@$(PY) -m bench.report

requirements: $(READY)
	@scripts/compile-requirements

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +

lab-packages:
	@scripts/system-packages lab

$(READY): requirements/dev.txt pyproject.toml scripts/setup scripts/install-requirements
	@scripts/setup
