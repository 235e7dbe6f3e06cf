"""How much is trained."""


def pytest_addoption(parser):
    parser.addoption(
        "--every-figure", action="store_true", help="train every case in every framework from three seeds: 15 minutes"
    )
