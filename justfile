# The usual tasks; `just` lists them. Install just with your package manager, or: pip install rust-just
# Each task is a command that you can also type. Tasks use the environment .venv, if it exists.

export PATH := justfile_directory() / ".venv/bin" + ":" + env("PATH")
export HF_HUB_OFFLINE := "1"

# list the jobs
default:
    @just --list

# set up .venv with all that tests and docs need
setup:
    python3 -m venv .venv
    .venv/bin/pip install -e '.[test,docs]'

# the tests of pure functions: less than a minute on an idle core
fast *args:
    python -m pytest -m "not slow and not long" tests/evaluation tests/report tests/io tests/test_settings.py \
        tests/candidates/test_keys.py tests/candidates/test_buckets.py tests/test_links.py tests/test_imports.py {{ args }}

# every test that is not slow: some 12 minutes on two cores
test *args:
    python -m pytest {{ args }}

# the slow tests: real runners, killed processes, a million answers
slow *args:
    python -m pytest -m slow {{ args }}

# format, lint, types, import rules: what pre-commit runs
lint:
    pre-commit run --all-files

# the documentation site, at http://127.0.0.1:8000
docs:
    mkdocs serve

# a reproducible sdist, and this processor's wheel, in dist/
build:
    python -m scripts.wheels dist --only sdist {{ arch() }}

# everything that CI runs, in a fresh copy and environment
ci:
    .ci/run
