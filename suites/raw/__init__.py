"""Raw training loops, one a framework, as an expert would write them: they import nothing of the project.

Each module has ``make(architecture, x, y, start)``: one of its ``ARCHITECTURES``, training samples (n, 64) and labels,
and the parameters by name in the project's layouts, which ``harness/spec/architecture.py`` tells. It gives
``train(order)``, which makes one Adam step for each row of indices and returns the losses. Data are resident, the
losses are fetched once a call, in float32. The models are those of the catalogue:

    mlp          digits-64-64-64-10
    cnn          digits-cnn
    lstm         digits-rows-lstm
    transformer  digits-transformer
"""
