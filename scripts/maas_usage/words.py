"""What tables and Markdown say, in English and Chinese, and how each language says large numbers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Dict, Tuple

LANGUAGES = ("en", "zh")

_SIZES: Dict[str, Tuple[Tuple[int, str], ...]] = {
    "en": ((10**6, " million"), (10**9, " billion"), (10**12, " trillion")),
    "zh": ((10**4, " 万"), (10**8, " 亿"), (10**12, " 万亿")),
}

_TEXTS: Dict[str, Tuple[str, str]] = {
    "demo": ("DEMO DATA: invented figures, not your account.", "演示数据：数字均为虚构，与您的账户无关。"),
    "tokens_said": ("{figure} tokens{about}", "{figure} 个 token{about}"),
    "about": (" (about {size})", "（约 {size}）"),
    "at_least": ("At least {said}", "至少 {said}"),
    "no_figure": (
        "No figure: the service does not keep this window any more.",
        "没有数字：服务已不再保留这段时间的数据。",
    ),
    "window": ("{expression}: {start} to {end}, {zone}", "{expression}：{start} 至 {end}，时区 {zone}"),
    "now": ("now ({time})", "现在（{time}）"),
    "end_of": ("the end of {day}", "{day} 结束"),
    "scope": ("{types}; {infer}; region {region}", "{types}；{infer}；区域 {region}"),
    "labels": ("only calls made with: {labels}", "仅统计以下 API Key 标签的调用：{labels}"),
    "console": ('"" (online experience)', '""（在线体验）'),
    "type_1": ("my services (1)", "我的服务（1）"),
    "type_2": ("preset services (2)", "预置服务（2）"),
    "type_4": ("custom endpoints (4)", "自定义接入点（4）"),
    "real_time": ("real-time inference", "在线推理"),
    "batch": ("batch inference", "批量推理"),
    "total_tokens": ("Total tokens", "token 总量"),
    "prompt_tokens": ("Prompt tokens", "输入 token"),
    "completion_tokens": ("Completion tokens", "输出 token"),
    "requests": ("Requests", "请求数"),
    "errors": ("Errors", "错误数"),
    "error_rate": ("Error rate", "错误率"),
    "batch_tasks": ("Batch tasks", "批量任务数"),
    "batch_inferences": ("Batch inferences", "批量推理次数"),
    "day": ("Day", "日期"),
    "hour": ("Hour", "小时"),
    "service-type": ("Service type", "服务类型"),
    "api-key": ("API key label", "API Key 标签"),
    "tokens": ("Tokens", "token"),
    "total": ("Total", "合计"),
    "worst": ("worst", "最差"),
    "worst_said": (
        "Worst error rate: {group}, {rate} ({errors} of {requests} requests failed).",
        "错误率最高：{group}，{rate}（{requests} 次请求中 {errors} 次失败）。",
    ),
    "partial": ("* only a part of it lies in the window", "* 只有一部分在所查时间段内"),
    "weekdays": ("Mon Tue Wed Thu Fri Sat Sun", "周一 周二 周三 周四 周五 周六 周日"),
    "compared": (
        "Compared with the window before, {start} to {end}:",
        "与上一时间段（{start} 至 {end}）相比：",
    ),
    "not_compared": (
        "Not compared: the window before, {start} to {end}, is not kept any more.",
        "未作比较：上一时间段（{start} 至 {end}）的数据已不再保留。",
    ),
    "more": ("{name}: {ratio} more, {figure} after {before}", "{name}：增加 {ratio}，{before} → {figure}"),
    "fewer": ("{name}: {ratio} less, {figure} after {before}", "{name}：减少 {ratio}，{before} → {figure}"),
    "same": ("{name}: the same, {figure}", "{name}：不变，{figure}"),
    "from_none": ("{name}: {figure} after none", "{name}：{figure}，此前没有"),
    "rate_change": ("{name}: {figure} after {before}", "{name}：{before} → {figure}"),
    "alert": ("ALERT: {name} {actual} is above the limit of {limit}.", "告警：{name} {actual} 超过上限 {limit}。"),
    "note": ("Note: {text}", "注意：{text}"),
    "not_the_sum": (
        "The total is the service's own; prompt and completion need not add up to it.",
        "总量以服务给出的为准，输入与输出之和不一定与它相等。",
    ),
    "provisional": (
        "What came after {time} may still grow: calls can take two hours to show.",
        "{time} 之后的数字可能还会增加：调用数据最长可能延迟两小时。",
    ),
    "raw": ("The service's own answers, one per call:", "服务的原始应答，每次调用一条："),
    "figure": ("Figure", "指标"),
    "value": ("Value", "数值"),
}

# The messages of a document's warnings are English; these say the same.
_WARNINGS_ZH = {
    "window_clipped": "所查时间段的终点在未来，已截止到现在。",
    "beyond_retention": "服务只保证保留 30 天的数据：{retained_since} 之前的部分可能缺失，缺失不等于没有用量。",
    "comparison_beyond_retention": "用于比较的上一时间段早于服务保证保留的范围，未查询。",
    "recent_data_lags": "所查时间段包含现在，最近的调用最长可能延迟两小时才计入，实际降幅可能比看上去小。",
    "types_may_overlap": "自定义接入点的调用是否同时计入预置服务尚不清楚：多种服务类型相加可能重复计数。",
    "credentials_file_readable": "本机其他用户可以读取密钥文件：请执行 chmod 600。",
    "no_usage": "没有统计到调用。可尝试 --service-type all、--last 30d，并检查区域与项目；"
    "调用最长可能延迟两小时才显示。",
}


_PERIODS_ZH = {
    "today": "今天",
    "yesterday": "昨天",
    "this-week": "本周",
    "last-week": "上周",
    "this-month": "本月",
    "last-month": "上月",
}


def say(lang: str, text: str, /, **values: Any) -> str:
    """A text of the table in a language, its places filled."""
    return _TEXTS[text][LANGUAGES.index(lang)].format(**values)


def warning(lang: str, warning_member: Dict[str, str], retained_since: str) -> str:
    """A warning of a document in a language."""
    if lang == "zh":
        return _WARNINGS_ZH[warning_member["code"]].format(retained_since=retained_since)
    return warning_member["message"]


def expression(lang: str, words: str) -> str:
    """The name of a window in a language; English is how the user spelled it."""
    if lang == "en":
        return words
    last = re.fullmatch(r"last ([0-9]+)([hdw])", words)
    if last is not None:
        return "最近 %s %s" % (last.group(1), {"h": "小时", "d": "天", "w": "周"}[last.group(2)])
    return _PERIODS_ZH.get(words, "指定时间")


def approximately(lang: str, number: int) -> str:
    """A large number as people say it, to three or four digits; empty where it is short anyway."""
    sizes = _SIZES[lang]
    if number < sizes[0][0]:
        return ""
    saying = [(_three_or_four_digits(Decimal(number) / size), size, name) for size, name in sizes]
    larger = [size for size, _ in sizes[1:]]
    # What rounds up to the next size is said in that.
    said, name = next(
        ((said, name) for (said, size, name), limit in zip(saying, larger) if said * size < limit),
        (saying[-1][0], saying[-1][2]),
    )
    return f"{said:,}{name}"


def _three_or_four_digits(number: Decimal) -> Decimal:
    rounded = round(number, 2 if number < 100 else 1 if number < 1000 else 0)
    # normalize() alone would say 1E+2.
    return rounded.normalize() if rounded % 1 else Decimal(int(rounded))
