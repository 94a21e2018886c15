// Numbers and labels as people read them.

export function percent(score) {
  if (score > 0.995) return "> 99 %";
  if (score < 0.005) return "< 1 %";
  return `${Math.round(100 * score)} %`;
}

export function seconds(value, digits = 1) {
  return `${value.toFixed(digits)} s`;
}

export function milliseconds(value) {
  return value >= 1000 ? seconds(value / 1000) : `${Math.round(value)} ms`;
}

/** A count with its noun: 1 clip, 2 clips. */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

export function sentence(text) {
  const trimmed = text.trim();
  const ending = /[.!?]$/.test(trimmed) ? "" : ".";
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + ending;
}
