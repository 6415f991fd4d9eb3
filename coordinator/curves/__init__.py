"""Training curves for TensorBoard, made of a run's events.

``points`` says what is plotted, ``file`` writes it; both are used while a run goes on (:mod:`coordinator.app`) and afterwards
(``suture run curves``), so the file is the same whenever it is made. TensorBoard comes with the extra ``curves``.
"""
