"""The paper's top-1 errors in %, as far as known: from its tables where others quote them, else from the
comments of the official scripts. Full width, 300 epochs (RN-164: 200; CUB: from CIFAR-100 weights)."""

PAPER_ERRORS = {
    "cifar10": {
        "vgg": 7.77,
        "vgg-gap": 9.87,
        "vgg-pan": 6.29,
        "rn164": 6.03,
        "vgg-att1-dp": 6.14,
        "vgg-att2-indep-dp": 5.91,
        "vgg-att2-concat-dp": 5.86,
        "vgg-att1-pc": 5.67,
        "vgg-att2-indep-pc": 5.4,
        "vgg-att2-concat-pc": 5.23,
        "vgg-att3-concat-pc": 6.34,
        "vgg-att2-concat-pc-2g": 5.68,
    },
    "cifar100": {
        "vgg": 30.62,
        "vgg-gap": 31.77,
        "vgg-pan": 24.35,
        "rn164": 25.34,
        "vgg-att1-dp": 24.22,
        "vgg-att2-indep-dp": 23.24,
        "vgg-att2-concat-dp": 23.2,
        "vgg-att1-pc": 23.70,
        "vgg-att2-indep-pc": 24.1,
        "vgg-att2-concat-pc": 23.19,
        "vgg-att3-concat-pc": 22.97,
        "vgg-att2-concat-pc-2g": 22.98,
    },
    "svhn": {
        "vgg": 4.27,
        "vgg-gap": 5.84,
        "vgg-pan": 8.02,
        "vgg-att2-concat-pc": 3.74,
        "vgg-att3-concat-pc": 3.52,
    },
    "cub200": {
        "vgg": 34.64,
        "vgg-gap": 29.50,
        "vgg-pan": 31.46,
        "vgg-att2-concat-pc": 26.80,
        "vgg-att3-concat-pc": 26.95,
    },
}
