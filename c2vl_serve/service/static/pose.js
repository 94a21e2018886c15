// Where a pose's joints are at any time, between the frames that the answer holds.

const LONGEST_GAP = 0.5; // seconds; nobody is made up beyond

/** Numbers a joint has in a frame: x, y and visibility, with z before it in a room. */
export function stride(pose) {
  return pose.space === "room" ? 4 : 3;
}

/** The frame at a time in seconds, as a flat list; empty where the person is not seen. */
export function frameAt(pose, time) {
  const { times, frames } = pose;
  const after = firstAfter(times, time);
  const before = after - 1;
  const [one, other] = [frames[before] ?? [], frames[after] ?? []];
  const gap = times[after] - times[before];
  if (one.length && other.length && gap <= LONGEST_GAP) {
    return blend(one, other, (time - times[before]) / gap);
  }
  const nearer = time - (times[before] ?? -Infinity) <= (times[after] ?? Infinity) - time;
  const place = nearer ? before : after;
  return Math.abs(time - times[place]) <= LONGEST_GAP / 2 ? frames[place] : [];
}

function firstAfter(times, time) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function blend(one, other, weight) {
  return one.map((value, i) => value + weight * (other[i] - value));
}
