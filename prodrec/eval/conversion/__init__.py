"""Conversion rates of unique visitors (UV) of the variants of a page, and what they say about the variants.

A eq. 2 is the rate of a variant v on a day d:

    p_vd = trading_vd / visiting_vd

where a visitor counts once, however often they came that day; they are trading if they bought. The paper (A §4.4.4)
reports "a relative 3.1 percent gain of daily UV conversion rate", without an interval. How the days are put together is
our choice: the ratio of weighted means of the daily rates with the weights of Mantel and Haenszel, over the days on
which both variants had visitors, so that neither a busy day nor a day on which a variant had more of the traffic
counts as a gain (Rothman, Greenland and Lash 2008, chapter 15):

    w_d = n_vd n_cd / (n_vd + n_cd)                        n: visiting; c: the control variant
    ratio = Σ_d w_d p_vd / Σ_d w_d p_cd,   gain = ratio - 1

Visitors are independent of each other, and the days of one visitor are not. The variance is that of sums over visitors,
the delta method of Deng, Knoblich and Lu (2018), also known as cluster-robust:

    u_id = ± w_d (y_id - p_d) / (n_d S)                    y: 1 if visitor i is trading on day d; S = Σ_d w_d p_d
    variance of log(ratio) = Σ_i (Σ_d u_id)²               over the days and the variants of each visitor

A visitor who saw both variants counts in both, with + and -. In a table of counts nobody is known to return, and the
sum is that of Σ_d (w_d / S)² p_d (1 - p_d) / n_d over both variants; for one day this is the formula of Katz et al.
(1978). The 95 % interval is exp(log(ratio) ± 1.96 σ) - 1; the p value is that of the two-sided test of log(ratio) = 0,
which is below 0.05 if and only if the interval excludes 0. With several variants beside the control, p values are
corrected by Holm.

What is assumed: visitors were given a variant at random and keep it, no visitor affects another, and there are enough
trading visitors for a normal distribution of log(ratio). `benchmarks/conversion.py` measures coverage and false
positives on drawn visits; examples/LOG.md has the figures.
"""
