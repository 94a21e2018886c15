// An answer as spans of time, each with what was done in it: what the timeline shows.

const HUES = 8;

/**
 * The rows of each person: what they did as a whole, and below it each window if that is wanted.
 * A row's spans lie in lanes, so that none covers another.
 */
export function rowsOf(answer, duration, withWindows) {
  const hues = new Map();
  return answer.persons.flatMap((person, position) =>
    kindsOf(person, duration, withWindows).map(({ kind, spans }) => ({
      kind,
      position,
      spans: inLanes(spans.map((span) => described(span, hues))),
    })));
}

/** The span that a moment belongs to: of those around it, the one whose middle is nearest. */
export function spanAt(row, time) {
  const around = row.spans.filter((span) => span.start <= time && time < span.end);
  const distance = (span) => Math.abs(time - (span.start + span.end) / 2);
  return around.sort((one, other) => distance(one) - distance(other))[0] ?? null;
}

function kindsOf({ segments, windows, actions, recognised }, duration, withWindows) {
  const whole = { start: 0, end: duration, actions, recognised };
  const kinds = [segments.length ? { kind: "segments", spans: segments } : { kind: "whole clip", spans: [whole] }];
  if (withWindows && windows.length) kinds.push({ kind: "windows", spans: windows });
  return kinds;
}

// A segment names its action itself; a window lists several, best first.
function described(span, hues) {
  const best = span.label === undefined ? span.actions?.[0] : span;
  const label = best?.label ?? "nothing";
  if (span.recognised !== false && !hues.has(label)) hues.set(label, hues.size % HUES);
  return {
    start: span.start,
    end: span.end,
    label,
    score: best?.score ?? 0,
    recognised: span.recognised !== false,
    hue: hues.get(label) ?? null,
  };
}

function inLanes(spans) {
  const ends = [];
  return spans.map((span) => {
    const free = ends.findIndex((end) => end <= span.start + 1e-6);
    const lane = free < 0 ? ends.length : free;
    ends[lane] = span.end;
    return { ...span, lane };
  });
}
