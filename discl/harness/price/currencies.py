"""Currencies by their codes (ISO 4217), of money that some country pays with today."""

from __future__ import annotations

from discl.core.errors import UserError

SIGNS = {"$": "USD", "€": "EUR", "£": "GBP"}
_CODES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD
CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD
KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO
NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE
SOS SRD SSP STN SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST
XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CODES = frozenset(_CODES.split())


def currency(named: str, price: str) -> str:
    """The code that a code in any case, or a sign, stands for.

    Raises UserError where there is none; `price` is the option with its value, for the sentence.
    """
    code = SIGNS.get(named, named.upper())
    if code not in CODES:
        raise UserError(
            f"{price}: {code} is no currency of ISO 4217; write its code, such as USD, EUR or GBP,"
            " or $, €, £"
        )
    return code
