"""Local training on a holder's own data, and the heart disease task that ships with Suture.

:mod:`clients.training.heart_disease` reads the patients' table and :mod:`clients.training.split` divides it; both are light.
:mod:`clients.training.model`, :mod:`clients.training.local` and :mod:`clients.training.baselines` import torch, which
takes a second or two: import them only where training happens.
"""
