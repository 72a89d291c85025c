#!/usr/bin/env bash
# What the portal runs as the job. Before ipjob: whatever puts JupyterLab, ipyparallel and ipjob on PATH.
#   module load python
#   source ~/venv/bin/activate

# The portal passes only paths that begin with host and port, and its button cannot send Jupyter's own proof that a form comes from its page (XSRF).
# Instead, the browser sends the cookie with nothing that another site posts (SameSite).
exec ipjob --mode notebook \
  --jupyter-port "$port" \
  --jupyter-token-file token \
  --on-ready "touch ready" \
  --root-dir "$HOME" \
  -- \
  --ServerApp.base_url="/node/$host/$port/" \
  --ServerApp.disable_check_xsrf=True \
  --IdentityProvider.cookie_options=samesite=Lax
