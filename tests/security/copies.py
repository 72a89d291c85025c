"""copies.py SOURCES ROOT CHECKPOINT_DIR PATH...: where a Jupyter of this root directory that is closed by SOURCES/closed.py puts the copies of these files, as a JSON list."""

import json
import sys

sources, root, directory, *paths = sys.argv[1:]
sys.path.insert(0, sources)
import closed

closed.keep_checkpoints_apart()
try:
    from notebook.services.contents.filemanager import FileContentsManager
except ImportError:
    from jupyter_server.services.contents.filemanager import FileContentsManager

checkpoints = FileContentsManager(root_dir=root).checkpoints
checkpoints.checkpoint_dir = directory
print(json.dumps([checkpoints.checkpoint_path("checkpoint", path) for path in paths]))
