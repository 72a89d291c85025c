"""The hub of the lab: what stands in docs/hubs.md is appended, and all else of it is here."""
import os

c = get_config()  # noqa: F821 - JupyterHub provides it
c.JupyterHub.bind_url = "http://0.0.0.0:8000"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_ip = os.environ["HUB_ADDRESS"]
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.cookie_secret_file = "cookie_secret"
# A proxy that the hub starts itself has 10 s, which is too little on a busy machine: the test starts it, and waits.
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:8001"
c.ConfigurableHTTPProxy.auth_token = os.environ["CONFIGPROXY_AUTH_TOKEN"]
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "the password of the lab"
c.Authenticator.allow_all = True
# There is no sudo in the lab.
c.BatchSpawnerBase.exec_prefix = "runuser -u {username} --preserve-environment --"
c.SlurmSpawner.req_runtime = "60"
c.Spawner.start_timeout = 60
