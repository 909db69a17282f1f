"""Names and GStreamer launch lines enter on the command line; a real RTSP server leaves.

Run by the system's Python, which has GStreamer's bindings, not by the tests' own:
``/usr/bin/python3 rtsp_server.py ADDRESS PORT [--user NAME:PASSWORD] PATH=LAUNCH ...``. Prints ``ready`` when it
listens.
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - versions are chosen before


def main(arguments: list[str]) -> None:
    Gst.init(None)
    address, port, *rest = arguments
    server = GstRtspServer.RTSPServer()
    server.set_address(address)
    server.set_service(port)
    token = None
    if rest and rest[0] == "--user":
        name, _, password = rest[1].partition(":")
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth = GstRtspServer.RTSPAuth()
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(name, password), token)
        server.set_auth(auth)
        rest = rest[2:]
    for entry in rest:
        path, _, launch = entry.partition("=")
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {launch} )")
        factory.set_shared(True)
        if token is not None:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role("viewer", "media.factory.access", True)
            permissions.add_permission_for_role("viewer", "media.factory.construct", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory("/" + path, factory)
    if server.attach(None) == 0:
        sys.exit(f"port {port} is taken")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(sys.argv[1:])
