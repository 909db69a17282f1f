"""MOT, MOTS, KITTI and COCO files, lines and zones of other tools: one module a format, reading and writing."""
