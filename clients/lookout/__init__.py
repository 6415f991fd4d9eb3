"""What stands on ``PYTHONPATH`` of the glue's processes; see :mod:`clients.lookout.sitecustomize`."""
