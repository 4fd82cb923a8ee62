"""`python -m services.desk`."""

from services.desk.app import main

if __name__ == "__main__":
    main()
