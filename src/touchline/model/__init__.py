"""The words of Touchline as types: columns, campaigns, rules, addresses, calendars, errors. No I/O."""
