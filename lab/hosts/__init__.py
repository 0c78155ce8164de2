"""Hosts out of namespaces: how they come to be, how one enters them.

A lab is one process tree in namespaces of its own (PID, mount, network, UTS,
IPC). The controller is that tree's outermost set; each compute host has a
mount, network and UTS namespace below it. None of them has a name outside
of the lab, so when the tree's first process ends, the kernel ends all others
and takes namespaces, mounts and interfaces away: nothing can be left behind.
"""
