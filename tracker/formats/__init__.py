"""MOT, MOTS, KITTI and COCO files: one module a format, reading and writing."""
