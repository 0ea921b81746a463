"""quiesce-lab: a small Tencent Cloud on one machine, strict and never helpful, for the demo, the tests and the benches."""
