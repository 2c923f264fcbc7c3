// How wide words are, asked of a canvas.

/** Text widths in px; the same words come again and again. @param {() => string} font @returns {(text: string, size: number, weight?: number) => number} */
export function textMeasure(font) {
  const canvas = document.createElement("canvas").getContext("2d");
  const known = new Map();
  return (text, size, weight = 400) => {
    const style = `${weight} ${size}px ${font()}`;
    const key = `${style}|${text}`;
    if (!known.has(key)) {
      if (known.size > 5000) known.clear();
      canvas.font = style;
      known.set(key, canvas.measureText(text).width);
    }
    return known.get(key);
  };
}
