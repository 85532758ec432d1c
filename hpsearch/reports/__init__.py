"""What people look at: tables (pandas) and, later, figures."""
