"""The world outside: Tencent Cloud's APIs, the hook daemons, and the log. Nothing here decides anything."""
