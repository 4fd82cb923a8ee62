"""`python -m services.router`."""

from services.router.app import main

if __name__ == "__main__":
    main()
