"""The OpenStack cloud that lives in the hosts."""
