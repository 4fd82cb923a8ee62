"""Who there is, and by which rules work is shared out and handled: what the router and the desk share."""
