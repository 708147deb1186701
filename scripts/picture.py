#!/usr/bin/env python3
"""Draws a terminal's text as an SVG: scripts/picture.py 'COMMAND LINE' <output.txt >docs/demo.svg"""
import sys
from xml.sax.saxutils import escape

LINE, CHARACTER, MARGIN = 18, 7.83, 18


def main():
    lines = [f"$ {sys.argv[1]}", *sys.stdin.read().rstrip("\n").split("\n")]
    width = round(max(map(len, lines)) * CHARACTER + 2 * MARGIN)
    height = (len(lines) + 1) * LINE + MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">')
    print(f'<rect width="{width}" height="{height}" rx="8" fill="#14181f"/>')
    print('<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="13" fill="#d7dce2" xml:space="preserve">')
    for number, line in enumerate(lines, start=1):
        colour = ' fill="#8fd18f"' if line.startswith("$") or line.lstrip().startswith("answer ") else ""
        print(f'<text x="{MARGIN}" y="{number * LINE + MARGIN}"{colour}>{escape(line)}</text>')
    print("</g></svg>")


main()
