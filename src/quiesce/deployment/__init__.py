"""Putting the function on Tencent Cloud and the daemon on instances: the operator's side, which the function never imports.

Reading order: ``spec`` (what is wanted), ``archive`` (the code), ``role``, ``function`` and ``triggers`` (what there is, and
the steps from it to what is wanted), ``carry_out`` (the steps, taken). For instances: ``keys`` (who may sign and what is
shared), ``scripts`` (what runs there), ``tat`` (how it gets there), ``install`` (in which order).
"""
