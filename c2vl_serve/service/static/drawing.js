// Skeletons on a canvas: over a picture, or alone in a room that can be turned.

import { stride } from "./pose.js";

const MIN_VISIBILITY = 0.3; // joints below are left out
const COLOURS = ["#35d6ff", "#ff9d42", "#9cf06a", "#ff7ad9"]; // person 0, 1, ...
const FACE = /nose|eye|ear|mouth/;
const FINGER = /pinky|index|thumb|tip/;
const DOTLESS = /nose|eye|ear|mouth|pinky|index|thumb|tip|^head$/;
const DISTANCE = 5; // of the viewer, in radii of what is shown

export function colourOf(position) {
  return COLOURS[position % COLOURS.length];
}

/** Points in pixels for a picture that fills the canvas; null where a joint was not seen. */
export function pointsInPicture(pose, frame, width, height) {
  return each(pose, frame, (x, y) => ({ x: x * width, y: y * height, near: 1 }));
}

/** Points in pixels for a room seen from `turn` (yaw, pitch in radians). */
export function pointsInRoom(pose, frame, room, turn, width, height) {
  return each(pose, frame, (x, y, z) =>
    project(upright([x, y, z], pose.up), room, turn, width, height));
}

function each(pose, frame, place) {
  const step = stride(pose);
  return pose.joints.map((_, joint) => {
    const values = frame.slice(joint * step, (joint + 1) * step);
    return values[step - 1] >= MIN_VISIBILITY ? place(...values) : null;
  });
}

/** A joint as right, up and away from the viewer, whichever axis is up. */
function upright([x, y, z], up) {
  switch (up) {
    case "-y": return [x, -y, z];
    case "+z": return [x, z, y];
    case "-z": return [-x, -z, y];
    default: return [-x, y, z];
  }
}

/** What all frames of all poses take up: centre, radius and the height of the floor. */
export function roomOf(poses) {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (const pose of poses) {
    for (const frame of pose.frames) {
      for (let i = 0; i < frame.length; i += 4) {
        if (frame[i + 3] < MIN_VISIBILITY) continue;
        upright(frame.slice(i, i + 3), pose.up).forEach((value, axis) => {
          low[axis] = Math.min(low[axis], value);
          high[axis] = Math.max(high[axis], value);
        });
      }
    }
  }
  if (low[0] > high[0]) return { centre: [0, 0, 0], radius: 1, floor: -1 };
  return {
    centre: low.map((value, axis) => (value + high[axis]) / 2),
    radius: Math.max(Math.hypot(...high.map((value, axis) => value - low[axis])) / 2, 1e-3),
    floor: low[1],
  };
}

function project(place, room, turn, width, height) {
  const [x, y, z] = place.map((value, axis) => (value - room.centre[axis]) / room.radius);
  const [sinYaw, cosYaw] = [Math.sin(turn.yaw), Math.cos(turn.yaw)];
  const [sinPitch, cosPitch] = [Math.sin(turn.pitch), Math.cos(turn.pitch)];
  const right = cosYaw * x + sinYaw * z;
  const away = cosYaw * z - sinYaw * x;
  const up = cosPitch * y + sinPitch * away;
  const depth = cosPitch * away - sinPitch * y;
  const near = DISTANCE / (DISTANCE + depth);
  const scale = 0.46 * Math.min(width, height) * near;
  return { x: width / 2 + scale * right, y: height / 2 - scale * up, near };
}

export function drawFloor(context, room, turn, width, height) {
  const size = room.radius * 1.25;
  const lines = 8;
  context.lineWidth = Math.max(1, height / 700);
  context.strokeStyle = "#ffffff1c";
  context.beginPath();
  for (let i = 0; i <= lines; i += 1) {
    const offset = size * ((2 * i) / lines - 1);
    for (const [from, to] of [[[offset, -size], [offset, size]], [[-size, offset], [size, offset]]]) {
      const ends = [from, to].map(([x, z]) => project(
        [room.centre[0] + x, room.floor, room.centre[2] + z], room, turn, width, height));
      context.moveTo(ends[0].x, ends[0].y);
      context.lineTo(ends[1].x, ends[1].y);
    }
  }
  context.stroke();
}

/** One person's lines and joints; a dark rim keeps them readable on any picture. */
export function drawSkeleton(context, pose, points, colour) {
  const unit = Math.max(2, Math.min(context.canvas.width, context.canvas.height) / 120);
  const lines = pose.edges
    .map(([parent, joint]) => [points[parent], points[joint], pose.joints[joint]])
    .filter(([from, to]) => from && to);
  context.lineCap = "round";
  for (const [rim, style] of [[unit * 0.8, "#0008"], [0, colour]]) {
    for (const [from, to, name] of lines) {
      context.lineWidth = unit * thickness(name) * (from.near + to.near) / 2 + rim;
      context.strokeStyle = style;
      context.beginPath();
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
      context.stroke();
    }
  }
  drawHead(context, pose, points, colour);
  points.forEach((point, joint) => {
    if (!point || DOTLESS.test(pose.joints[joint])) return;
    context.fillStyle = "#fff";
    context.beginPath();
    context.arc(point.x, point.y, unit * 0.62 * point.near, 0, 2 * Math.PI);
    context.fill();
  });
}

// A point says little of a head; half of the neck's length is about its size.
function drawHead(context, pose, points, colour) {
  const head = points[pose.joints.indexOf("head")];
  const [parent] = pose.edges.find(([, joint]) => pose.joints[joint] === "head") ?? [];
  const neck = points[parent];
  if (!head || !neck) return;
  context.fillStyle = colour;
  context.beginPath();
  context.arc(head.x, head.y, Math.hypot(head.x - neck.x, head.y - neck.y) * 0.45, 0, 2 * Math.PI);
  context.fill();
}

function thickness(joint) {
  if (FACE.test(joint)) return 0.45;
  return FINGER.test(joint) ? 0.6 : 1;
}
