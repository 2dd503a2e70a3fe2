"""Outgoing traffic to hosts outside the region: HTTPS, DNS and SMTP.

Every connection follows one address rule (`address_rule`) and has limits on time, size and number.
"""
