"""Clients of ipyparallel's whose job has ended."""

import threading


def release(client, why):
    """Ends what waits for results that nobody will send any more, and closes the client.

    This is what the client itself does for one engine that has died (`_handle_stranded_msgs`); tasks that no engine has
    begun it would leave waiting."""
    from ipyparallel import error

    def answer():
        for message in list(client.outstanding):
            try:
                raise error.EngineError(why)
            except error.EngineError:
                reply = client.session.msg("apply_reply", content=error.wrap_exception())
            reply["parent_header"]["msg_id"] = message
            client._handle_apply_reply(reply)
        answered.set()

    answered = threading.Event()
    # The client's own thread handles replies. Without it, a hub that was shut down in order has closed the client.
    if client._io_thread.is_alive():
        client._io_loop.add_callback(answer)
        answered.wait(5)
    client.close()
    # What a cell has sent meanwhile.
    answer()
