"""masktrail: video in, persistent identities out.

The pipeline in six lines::

    from tracker import OnnxSegmenter, Tracker, open_source

    segmenter = OnnxSegmenter("yolact-nano")
    tracker = Tracker(class_count=len(segmenter.class_names))
    for frame in open_source("street.mp4", network_size=segmenter.network_size):
        tracks = tracker.update(segmenter.segment([frame])[0], frame.time_s)
"""
