"""`python -m services.sla_monitor`."""

from services.sla_monitor.app import main

if __name__ == "__main__":
    main()
