"""The paper's top-1 errors in %, as far as known: from its tables where others quote them, else from the
comments of the official scripts. Full width, 300 epochs (RN-164: 200; CUB: from CIFAR-100 weights)."""

_DATASETS = ("cifar10", "cifar100", "svhn", "cub200")
_ERRORS = {
    "vgg": (7.77, 30.62, 4.27, 34.64),
    "vgg-gap": (9.87, 31.77, 5.84, 29.50),
    "vgg-pan": (6.29, 24.35, 8.02, 31.46),
    "rn164": (6.03, 25.34, None, None),
    "vgg-att1-dp": (6.14, 24.22, None, None),
    "vgg-att2-indep-dp": (5.91, 23.24, None, None),
    "vgg-att2-concat-dp": (5.86, 23.2, None, None),
    "vgg-att1-pc": (5.67, 23.70, None, None),
    "vgg-att2-indep-pc": (5.4, 24.1, None, None),
    "vgg-att2-concat-pc": (5.23, 23.19, 3.74, 26.80),
    "vgg-att3-concat-pc": (6.34, 22.97, 3.52, 26.95),
    "vgg-att2-concat-pc-2g": (5.68, 22.98, None, None),
}
PAPER_ERRORS = {
    dataset: {name: error for name, row in _ERRORS.items() if (error := row[column]) is not None}
    for column, dataset in enumerate(_DATASETS)
}
