"""Raw training loops, one a framework, as an expert would write them: they import nothing of the project.

Each module has ``make(x, y, start)``: training samples (n, 64) and labels (n,), and the six parameters of a
64-64-64-10 ReLU network in order (weights (in, out)). It gives ``train(order)``, which makes one Adam step for each
row of indices and returns the losses. Data are resident, the losses are fetched once a call, in float32.
"""
