"""commands.py SOURCES COMMANDS: what these commands of kernels, a JSON list of lists, become by SOURCES/closed.py, as the same."""

import json
import sys

sys.path.insert(0, sys.argv[1])
import closed

print(json.dumps([closed.without_directory(command) for command in json.loads(sys.argv[2])]))
